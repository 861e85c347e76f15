package cuts_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// whole runs what takes long: otherwise a tenth of it does.
var whole = os.Getenv("ARPC_SLOW") != ""

// figure prints a result of a whole run.
func figure(t *testing.T, name string, value any) {
	if whole {
		fmt.Printf("FIGURE %s=%v\n", name, value)
	}
	t.Logf("%s=%v", name, value)
}
