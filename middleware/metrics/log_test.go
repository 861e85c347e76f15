package metrics_test

import "log/slog"

// discard is for tests that provoke what is logged.
var discard = slog.New(slog.DiscardHandler)
