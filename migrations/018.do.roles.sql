-- From PostgreSQL 16 on, whoever makes a role is its member without the right to take it (migration 008 asked for membership alone), and a login
-- that may make roles without being a superuser is what managed databases give. Nothing changes for others.
DO $$
DECLARE
  role text;
  privilege text := CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END;
BEGIN
  FOREACH role IN ARRAY ARRAY['streamspace_tenant', 'streamspace_system'] LOOP
    FOR attempt IN 1..20 LOOP
      BEGIN
        IF NOT pg_has_role(current_user, role, privilege) THEN
          EXECUTE format('GRANT %I TO CURRENT_USER', role);
        END IF;
        EXIT;
      EXCEPTION
        WHEN unique_violation OR internal_error THEN
          -- Granted at this very moment by the migration of another database.
          IF attempt = 20 THEN RAISE; END IF;
          PERFORM pg_sleep(0.05);
        WHEN insufficient_privilege THEN
          RAISE EXCEPTION 'the role % cannot be taken by %', role, current_user
            USING HINT = format('Once, as a superuser: GRANT %s TO %I; and then migrate again.', role, current_user);
      END;
    END LOOP;
  END LOOP;
END $$;
