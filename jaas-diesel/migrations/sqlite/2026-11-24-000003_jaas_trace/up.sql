-- W3C trace context of the delivery: traceparent, and after a space tracestate.
ALTER TABLE jaas_events ADD COLUMN trace_context TEXT;
