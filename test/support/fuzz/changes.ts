/**
 * Rows that callers have changed, counted by the database itself: a trigger on every table notes what is done under the role
 * that acts for callers. What the server does by itself (reports of agents, duties) is done under another one, and
 * is not counted; but tables that only an installation's caller changes, and no duty, are counted whoever it is.
 */
import pg from 'pg'

/** Where a refusal leaves a note on purpose. */
const NOTES = /^(audit|rate_limit)/

const INSTALL = `
CREATE TABLE fuzz_changes (id bigint GENERATED ALWAYS AS IDENTITY, what text NOT NULL, row_now jsonb);
GRANT INSERT ON fuzz_changes TO PUBLIC;
CREATE FUNCTION fuzz_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- A session that waits is placed, and told why not, by the server: that raises no version. Callers do, but for saying that it is in use.
  IF TG_TABLE_NAME = 'sessions' AND TG_OP = 'UPDATE' THEN
    IF OLD.version = NEW.version AND OLD.last_activity_at IS NOT DISTINCT FROM NEW.last_activity_at THEN
      RETURN NULL;
    END IF;
  END IF;
  IF current_user = 'streamspace_tenant' OR TG_TABLE_NAME IN ('orgs', 'orphan_removal') THEN
    INSERT INTO fuzz_changes (what, row_now)
    VALUES (TG_OP || ' ' || TG_TABLE_NAME, CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END);
  END IF;
  RETURN NULL;
END $$;`

export type Changes = {
  readonly count: () => Promise<number>
  /** What was changed after so many, at most ten. */
  readonly since: (count: number) => Promise<readonly string[]>
  readonly query: (
    text: string,
    values?: readonly unknown[],
  ) => Promise<readonly { readonly [column: string]: unknown }[]>
  readonly close: () => Promise<void>
}

export const watchChanges = async (databaseUrl: string): Promise<Changes> => {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 4 })
  pool.on('error', () => {})
  await pool.query(INSTALL)
  const { rows } = await pool.query(
    `SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition
        AND relnamespace = 'public'::regnamespace AND relname NOT IN ('fuzz_changes', 'schema_version')`,
  )
  for (const { relname } of rows)
    if (!NOTES.test(relname))
      await pool.query(
        `CREATE TRIGGER fuzz_note AFTER INSERT OR UPDATE OR DELETE ON ${pg.escapeIdentifier(relname)} FOR EACH ROW EXECUTE FUNCTION fuzz_note()`,
      )
  return {
    count: async () =>
      Number((await pool.query('SELECT coalesce(max(id), 0) AS count FROM fuzz_changes')).rows[0].count),
    since: async (count) =>
      (await pool.query('SELECT what, row_now FROM fuzz_changes WHERE id > $1 ORDER BY id LIMIT 10', [count])).rows.map(
        ({ what, row_now }) => `${what} ${JSON.stringify(row_now).slice(0, 400)}`,
      ),
    query: async (text, values = []) => (await pool.query(text, [...values])).rows,
    close: () => pool.end(),
  }
}
