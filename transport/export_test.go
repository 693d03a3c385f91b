package transport

import "time"

// The bounds on who isn't a peer.
const (
	ConnectionsMax = connectionsMax
	StreamsMax     = streamsMax
	HeaderBytesMax = headerBytesMax
	IdleTimeout    = idleTimeout
)

// SetIdle is for who can't wait for IdleTimeout.
func (c *Config) SetIdle(d time.Duration) { c.idle = d }

// Idle is how long a connection without a stream is kept.
func (t *Transport) Idle() time.Duration { return t.cfg.idle }
