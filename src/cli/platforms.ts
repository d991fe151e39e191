/** Those for which this program is an agent, and where their sessions are. */
export const platforms = {
  process: 'processes of this machine',
  docker: 'containers of this machine',
  kubernetes: 'pods of a cluster',
} as const
