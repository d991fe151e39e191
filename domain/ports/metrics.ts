/** What the server measures of itself, as text for whoever collects it. */
export type Metrics = { readonly mediaType: string; readonly text: () => Promise<string> }
