package arpc_test

import (
	"fmt"
	"testing"

	"github.com/seed-fbfaa03e/arpc"
)

func TestHandleRefusesWhatIsNoOption(t *testing.T) {
	defer func() {
		if v := recover(); v == nil {
			t.Error("it was taken")
		} else if want := "arpc: handle /m: an option is a Mode, a bool or a RouteOption"; fmt.Sprint(v) != want {
			t.Errorf("got %q, want %q", v, want)
		}
	}()
	arpc.NewHandler().Handle("/m", func(*arpc.Context) {}, "fast")
}
