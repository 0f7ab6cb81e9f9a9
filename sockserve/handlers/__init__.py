"""What answers messages: functions, echo, discard, relay, forward, share, hl7; and their names."""
