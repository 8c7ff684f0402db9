/**
 * What Kafka Connect and Debezium call times, by the Avro logical type with the same unit.
 * https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-temporal-types
 */
export const connectTimes: Readonly<Record<string, "timestamp-millis" | "timestamp-micros" | "timestamp-nanos">> = {
  "org.apache.kafka.connect.data.Timestamp": "timestamp-millis",
  "io.debezium.time.Timestamp": "timestamp-millis",
  "io.debezium.time.MicroTimestamp": "timestamp-micros",
  "io.debezium.time.NanoTimestamp": "timestamp-nanos",
};
