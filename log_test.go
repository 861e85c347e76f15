package arpc_test

import "log/slog"

// discard is for tests that provoke what is logged as an error.
var discard = slog.New(slog.DiscardHandler)
