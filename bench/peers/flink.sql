CREATE CATALOG {catalog} WITH (
  'type' = 'iceberg', 'catalog-impl' = 'org.apache.iceberg.jdbc.JdbcCatalog', 'uri' = '{uri}', 'warehouse' = 'file://{warehouse}');
CREATE TEMPORARY TABLE topic (
  request_id STRING, `@timestamp` TIMESTAMP_LTZ(3), clientip STRING, verb STRING, request STRING, httpversion STRING,
  response INT, `bytes` BIGINT, referrer STRING, agent STRING, latency_ms DOUBLE, cached BOOLEAN,
  geo ROW<country STRING, asn INT>, tags ARRAY<STRING>
) WITH (
  'connector' = 'kafka', 'topic' = '{topic}', 'properties.bootstrap.servers' = '{brokers}', 'properties.group.id' = '{table}',
  'scan.startup.mode' = 'earliest-offset',
  'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601');
INSERT INTO {catalog}.logs.{table} SELECT * FROM topic;
