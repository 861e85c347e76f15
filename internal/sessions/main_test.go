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
