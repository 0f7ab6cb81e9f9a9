"""A stream of messages in Redis or Valkey that several processes share; its URL."""
