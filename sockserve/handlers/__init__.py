"""What answers messages: functions, echo, discard, relay, forward, share; and their names."""
