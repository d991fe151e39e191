
-- A drain raises the revision also of an agent that is cordoned already.
GRANT UPDATE (revision) ON agents TO streamspace_tenant;
