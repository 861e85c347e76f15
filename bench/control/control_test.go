package control_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/seed-fbfaa03e/arpc/bench/control"
)

func TestObeyAnswersUntilTheEnd(t *testing.T) {
	in := strings.NewReader(`{"do":"run","seconds":2}` + "\n" + `{"do":"run","seconds":3}` + "\n")
	var out strings.Builder
	err := control.Obey(in, &out, control.Ready{Address: "here:1"}, func(c control.Command) (any, error) {
		return control.Outcome{Seconds: c.Seconds}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 || lines[0] != `{"address":"here:1"}` || !strings.Contains(lines[2], `"seconds":3`) {
		t.Errorf("said %q", lines)
	}
}

func TestObeyEndsWithAFailure(t *testing.T) {
	failure := errors.New("refused")
	var out strings.Builder
	err := control.Obey(strings.NewReader(`{"do":"run"}`), &out, control.Ready{}, func(control.Command) (any, error) {
		return nil, failure
	})
	if !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
	if err := control.Obey(strings.NewReader("nonsense"), &out, control.Ready{}, nil); err == nil {
		t.Error("nonsense was obeyed")
	}
}
