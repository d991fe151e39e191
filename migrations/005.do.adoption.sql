-- An orphan may end as a session again: an operator has said whose it is.
ALTER TABLE orphans DROP CONSTRAINT orphans_state_check;
ALTER TABLE orphans ADD CONSTRAINT orphans_state_check
  CHECK (state IN ('seen', 'approved', 'removing', 'removed', 'gone', 'known', 'adopted'));
