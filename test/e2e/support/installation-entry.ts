/** What the audit trail of an org has of what the installation did in it: that it was the installation, and nobody of it. */
export const BY_THE_INSTALLATION = {
  userId: null,
  keyId: null,
  role: 'installation',
  ip: '',
  userAgent: null,
  outcome: 'succeeded',
} as const
