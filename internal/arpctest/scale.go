package arpctest

import (
	"fmt"
	"os"
	"testing"
)

// Whole is set where tests that take long are to run in full: otherwise a tenth of
// each does.
var Whole = os.Getenv("ARPC_SLOW") != ""

// Scaled is n, or a tenth of it.
func Scaled(n int) int {
	if Whole {
		return n
	}
	return n / 10
}

// Figure logs a result, and prints that of a whole run.
func Figure(t testing.TB, name string, value any) {
	t.Helper()
	if Whole {
		fmt.Printf("FIGURE %s=%v\n", name, value)
	}
	t.Logf("%s=%v", name, value)
}
