import fc from 'fast-check'

/** Any character at all, lone surrogates and NUL among them. (fast-check's own `binary` takes a second to make.) */
export const anyCharacter: fc.Arbitrary<string> = fc
  .oneof(fc.constantFrom(0, 0x20, 0x61, 0xd800, 0xdfff, 0x1f600), fc.integer({ min: 0, max: 0x10ffff }))
  .map((codePoint) => String.fromCodePoint(codePoint))
