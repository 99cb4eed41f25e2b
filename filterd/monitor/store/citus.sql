-- Optional, for a country: spreads the store over the workers of a Citus cluster, by school.
--
-- Run it once by psql as the owner of the database, on the coordinator, after filterd has made its tables
-- (filterd monitor makes them at its first start) and before much data is in them:
--   psql -1 -v ON_ERROR_STOP=1 -f citus.sql DATABASE
-- Every table's primary key begins with the school, so all of a school lies on one worker. Partitions of a
-- distributed table are distributed with it, those that filterd makes later too. A test keeps this list equal
-- to the tables there are. See docs/scale.md.

CREATE EXTENSION IF NOT EXISTS citus;

SELECT create_distributed_table('events', 'school', shard_count => 64);
SELECT create_distributed_table('usage', 'school', colocate_with => 'events');
SELECT create_distributed_table('usage_days', 'school', colocate_with => 'events');
SELECT create_distributed_table('usage_months', 'school', colocate_with => 'events');
SELECT create_distributed_table('device_days', 'school', colocate_with => 'events');
SELECT create_distributed_table('dirty_days', 'school', colocate_with => 'events');
SELECT create_distributed_table('box_hours', 'school', colocate_with => 'events');
SELECT create_distributed_table('selftests', 'school', colocate_with => 'events');
SELECT create_distributed_table('usage_totals', 'school', colocate_with => 'events');
SELECT create_distributed_table('event_totals', 'school', colocate_with => 'events');
SELECT create_distributed_table('boxes', 'school', colocate_with => 'events');
SELECT create_distributed_table('processes', 'school', colocate_with => 'events');
SELECT create_distributed_table('streams', 'school', colocate_with => 'events');
SELECT create_distributed_table('gaps', 'school', colocate_with => 'events');
SELECT create_distributed_table('marks', 'school', colocate_with => 'events');
SELECT create_distributed_table('schools', 'school', colocate_with => 'events');
SELECT create_distributed_table('tokens', 'school', colocate_with => 'events');
SELECT create_distributed_table('review_requests', 'school', colocate_with => 'events');
SELECT create_distributed_table('submissions', 'school', colocate_with => 'events');
SELECT create_distributed_table('cards', 'school', colocate_with => 'events');
SELECT create_distributed_table('releases', 'school', colocate_with => 'events');
SELECT create_distributed_table('facts', 'school', colocate_with => 'events');
SELECT create_distributed_table('notices', 'school', colocate_with => 'events');
SELECT create_distributed_table('reports', 'school', colocate_with => 'events');
SELECT create_distributed_table('audit', 'school', colocate_with => 'events');
