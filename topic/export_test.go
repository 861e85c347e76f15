package topic

import "time"

// SetClock replaces the clock of a log that nobody uses yet.
func (l *Log) SetClock(now func() time.Time) { l.now = now }
