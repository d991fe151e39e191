-- An org that was deleted keeps its id for good: what is written of it in histories means no other one. Nobody acts in it any more.
ALTER TABLE orgs ADD COLUMN deleted_at timestamptz;

-- Written once a minute at most, while a key is used.
ALTER TABLE api_keys ADD COLUMN last_used_at timestamptz;
CREATE INDEX api_keys_by_org ON api_keys (org_id, id DESC);
