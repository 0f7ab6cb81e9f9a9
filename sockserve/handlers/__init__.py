"""What answers: functions, echo, discard, relay, forward; and the names they have."""
