/** For whoever has started a server, or asked to seal anew, with a key that is not the database's. */
export class UnknownSecretKeyError extends Error {
  constructor() {
    super(
      'STREAMSPACE_SECRET_KEY is not the key that the secrets in this database are sealed under. All servers of a database need ' +
        'the same: set the key that the others have, or, to replace it, put that one into STREAMSPACE_SECRET_KEY_PREVIOUS ' +
        '(docs/operations.md#replacing-the-secret-key). Nothing was changed',
    )
    this.name = 'UnknownSecretKeyError'
  }
}
