"""The shapes of requests and responses: camelCase JSON, unknown fields refused, an example each."""
