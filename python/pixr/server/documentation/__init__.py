"""The API described: OpenAPI 3.0 and a Postman collection made from the 3.1 specification, and pages under `/docs`."""
