-- An operator who sends the command of a drain again, or takes it back, ends the move of its session (adapters/postgres/commands.ts).
CREATE POLICY removed ON session_moves FOR DELETE TO streamspace_tenant
  USING (org_id = current_setting('streamspace.org', true));
GRANT DELETE ON session_moves TO streamspace_tenant;
