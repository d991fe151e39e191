-- What lists are found by, and what If-Match guards.

-- The words of each session's name, one row a word: a search is a range of them. Row level security keeps operators that may tell
-- what they were given (LIKE, trigrams) from an index, and ranges not. Words are what stands between ASCII characters that are no
-- letters and no digits; the same as in adapters/postgres/session-words.ts.
CREATE TABLE session_words (
  session_id uuid NOT NULL,
  word text COLLATE "C" NOT NULL,
  org_id text NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (session_id, word)
);
CREATE INDEX session_words_by_word ON session_words (org_id, word, created_at DESC, session_id DESC);
ALTER TABLE session_words ENABLE ROW LEVEL SECURITY;
CREATE POLICY system ON session_words TO streamspace_system USING (true);
CREATE POLICY visible ON session_words FOR SELECT TO streamspace_tenant USING (org_id = current_setting('streamspace.org', true));
CREATE POLICY removed ON session_words FOR DELETE TO streamspace_tenant USING (org_id = current_setting('streamspace.org', true));
CREATE POLICY added ON session_words FOR INSERT TO streamspace_tenant WITH CHECK (org_id = ANY (streamspace_orgs()));
GRANT SELECT, INSERT, DELETE ON session_words TO streamspace_tenant, streamspace_system;

-- In any case, of any script: what `lower` knows depends on the database's own locale, which may be C and knows ASCII alone.
DO $$
DECLARE
  collation_name text := (SELECT quote_ident(collname) FROM pg_collation
                           WHERE collname IN ('pg_c_utf8', 'und-x-icu') AND collnamespace = 'pg_catalog'::regnamespace
                           ORDER BY collname LIMIT 1);
BEGIN
  EXECUTE format('CREATE FUNCTION folded(given text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT RETURN lower(given%s)',
                 CASE WHEN collation_name IS NULL THEN '' ELSE ' COLLATE ' || collation_name END);
END $$;

CREATE FUNCTION name_words(name text) RETURNS SETOF text LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 3
AS $$
  SELECT DISTINCT word
    FROM regexp_split_to_table(folded(name) COLLATE "C", '[\x01-\x2f\x3a-\x40\x5b-\x60\x7b-\x7f]+') AS word
   WHERE word <> ''
$$;

-- Once a statement, as several sessions are written by one.
CREATE FUNCTION words_of_new() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO session_words (session_id, word, org_id, created_at)
  SELECT added.id, word, added.org_id, added.created_at FROM added, name_words(added.name) AS word WHERE added.deleted_at IS NULL;
  RETURN NULL;
END $$;
CREATE TRIGGER words_of_new AFTER INSERT ON sessions REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION words_of_new();

CREATE FUNCTION follow_name() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM session_words WHERE session_id = OLD.id;
  IF NEW.deleted_at IS NULL THEN
    INSERT INTO session_words (session_id, word, org_id, created_at)
    SELECT NEW.id, word, NEW.org_id, NEW.created_at FROM name_words(NEW.name) AS word;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER words_of_changed AFTER UPDATE OF name, deleted_at ON sessions
  FOR EACH ROW WHEN (OLD.name <> NEW.name OR (OLD.deleted_at IS NULL) <> (NEW.deleted_at IS NULL))
  EXECUTE FUNCTION follow_name();
INSERT INTO session_words (session_id, word, org_id, created_at)
SELECT s.id, word, s.org_id, s.created_at FROM sessions s, name_words(s.name) AS word WHERE s.deleted_at IS NULL;

-- Filters that had no index yet.
CREATE INDEX sessions_by_platform ON sessions (org_id, platform, created_at DESC, id DESC) WHERE deleted_at IS NULL;
