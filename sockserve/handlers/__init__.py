"""What answers messages: functions, echo, discard, relay, forward; and their names."""
