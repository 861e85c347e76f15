package sessions_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// serveEnv is set where this program is the server of another one.
const serveEnv = "ARPC_SESSIONS_SERVE"

func TestMain(m *testing.M) {
	if os.Getenv(serveEnv) != "" {
		if err := serve(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// whole runs what takes long: otherwise a tenth of it does.
var whole = os.Getenv("ARPC_SLOW") != ""

// scaled is n, or a tenth of it.
func scaled(n int) int {
	if whole {
		return n
	}
	return n / 10
}

// figure prints a result of a whole run.
func figure(t *testing.T, name string, value any) {
	if whole {
		fmt.Printf("FIGURE %s=%v\n", name, value)
	}
	t.Logf("%s=%v", name, value)
}
