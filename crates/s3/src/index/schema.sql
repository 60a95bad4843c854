-- The index of one region. Revisions count commits; entries keep theirs in their key, so that a
-- later version history needs no new table.
CREATE TABLE meta (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  epoch BLOB NOT NULL,
  rev INTEGER NOT NULL,
  token_key BLOB NOT NULL,
  region TEXT NOT NULL
) STRICT;
CREATE TABLE bucket (
  name TEXT PRIMARY KEY,
  id BLOB NOT NULL UNIQUE,
  account INTEGER NOT NULL,
  created INTEGER NOT NULL,
  policy TEXT,
  rev INTEGER NOT NULL,
  -- The users and roles that the policy names, with the unique ids that they had.
  principals BLOB
) STRICT, WITHOUT ROWID;
-- A null object is a deletion that waits for its acknowledgement.
CREATE TABLE entry (
  bucket BLOB NOT NULL,
  key BLOB NOT NULL,
  rev INTEGER NOT NULL,
  object BLOB,
  size INTEGER NOT NULL,
  etag TEXT NOT NULL,
  mtime INTEGER NOT NULL,
  PRIMARY KEY (bucket, key, rev DESC)
) STRICT, WITHOUT ROWID;
CREATE TABLE body (
  object BLOB PRIMARY KEY,
  content BLOB NOT NULL
) STRICT;
CREATE TABLE upload (
  id BLOB PRIMARY KEY,
  bucket BLOB NOT NULL,
  key BLOB NOT NULL,
  created INTEGER NOT NULL,
  content BLOB NOT NULL,
  rev INTEGER NOT NULL
) STRICT;
CREATE INDEX upload_by_key ON upload (bucket, key, id);
CREATE TABLE part (
  upload BLOB NOT NULL,
  number INTEGER NOT NULL,
  segment BLOB NOT NULL,
  length INTEGER NOT NULL,
  etag TEXT NOT NULL,
  mtime INTEGER NOT NULL,
  digest BLOB NOT NULL,
  sums BLOB NOT NULL,
  rev INTEGER NOT NULL,
  PRIMARY KEY (upload, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE completed (
  upload BLOB PRIMARY KEY,
  bucket BLOB NOT NULL,
  key BLOB NOT NULL,
  etag TEXT NOT NULL,
  request BLOB NOT NULL,
  at INTEGER NOT NULL
) STRICT;
-- Keys that a commit wrote; once it is acknowledged, what it superseded is removed.
CREATE TABLE touched (
  rev INTEGER NOT NULL,
  bucket BLOB NOT NULL,
  key BLOB NOT NULL,
  PRIMARY KEY (rev, bucket, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE outbox (
  rev INTEGER NOT NULL,
  ordinal INTEGER NOT NULL,
  count INTEGER NOT NULL,
  item BLOB NOT NULL,
  PRIMARY KEY (rev, ordinal)
) STRICT, WITHOUT ROWID;
CREATE TABLE garbage (
  file TEXT PRIMARY KEY,
  since INTEGER NOT NULL,
  why TEXT NOT NULL
) STRICT, WITHOUT ROWID;
