package pubsub_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/pubsub"
)

// post publishes over HTTP, and returns the status and the body of the answer.
func post(t testing.TB, s *pubsub.Server, token, body string) (status int, answer string) {
	t.Helper()
	web := httptest.NewServer(s.HTTP())
	defer web.Close()
	r, err := http.NewRequest(http.MethodPost, web.URL+"/publish", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	rsp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer rsp.Body.Close()
	all, err := io.ReadAll(rsp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return rsp.StatusCode, string(all)
}

func TestPublishByPost(t *testing.T) {
	s, tcp, _ := start(t, pubsub.Open(), pubsub.PublishRoute("/publish"))
	heard, _ := hear(t, dial(t, tcp), "news")
	for i, body := range []string{
		`{"topic":"news","data":"text"}`,
		`{"topic":"news","data":{"a":1}}`,
		`{"topic":"news"}`,
		`{"topic":"news","data":null}`,
	} {
		status, answer := post(t, s, "", body)
		var p pubsub.Position
		if err := json.Unmarshal([]byte(answer), &p); err != nil || status != 200 || p.Offset != uint64(i+1) || p.Epoch == "" {
			t.Errorf("%s: %d %s, %v", body, status, answer, err)
		}
	}
	expect(t, heard, "1:text", `2:{"a":1}`, "3:", "4:null")
	if status, answer := post(t, s, "", `{"topic":"news","data":"to one","one":true}`); status != 200 || answer != "{}" {
		t.Errorf("to one: %d %s", status, answer)
	}
	expect(t, heard, "0:to one")
}

func TestPublishByPostWithAKeyHappensOnce(t *testing.T) {
	s, tcp, _ := start(t, pubsub.Open(), pubsub.PublishRoute("/publish"))
	heard, _ := hear(t, dial(t, tcp), "news")
	const body = `{"topic":"news","data":"once","key":"k"}`
	_, first := post(t, s, "", body)
	if _, again := post(t, s, "", body); again != first {
		t.Errorf("at %s, and then at %s", first, again)
	}
	post(t, s, "", `{"topic":"news","data":"after"}`)
	expect(t, heard, "1:once", "2:after")
}

func TestPublishByPostHasToBeAllowed(t *testing.T) {
	rules := pubsub.Authorize(func(_ context.Context, a pubsub.Access) error {
		if who := a.Client.Identity(); a.Operation == pubsub.OpPublish && who != nil && who.ID == "Ada" {
			return nil
		}
		return fmt.Errorf("of no interest to others")
	})
	for name, tt := range map[string]struct {
		opts   []pubsub.Option
		token  string
		status int
		code   string
	}{
		"allowed":              {[]pubsub.Option{rules}, "Ada", 200, ""},
		"not allowed":          {[]pubsub.Option{rules}, "Bob", 403, "permission_denied"},
		"a hub that is closed": {nil, "Ada", 403, "permission_denied"},
		"behind a password":    {[]pubsub.Option{rules, pubsub.Password("p")}, "Ada", 401, "unauthenticated"},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, _ := start(t, append(tt.opts, pubsub.PublishRoute("/publish"))...)
			s.Handler.HandleAuthenticate(func(_ context.Context, c arpc.Credentials) (*arpc.Identity, error) {
				if c.Token == "" {
					return nil, nil
				}
				return &arpc.Identity{ID: c.Token}, nil
			})
			status, answer := post(t, s, tt.token, `{"topic":"news","data":1}`)
			if status != tt.status || !strings.Contains(answer, tt.code) || strings.Contains(answer, "interest") {
				t.Errorf("%d %s", status, answer)
			}
		})
	}
}

func TestPublishByPostOfWhatCannotBe(t *testing.T) {
	s, _, _ := start(t, pubsub.Open(), pubsub.PublishRoute("/publish"))
	for _, body := range []string{``, `"news"`, `{"data":1}`, `{"topic":"` + strings.Repeat("x", 256) + `"}`, `{"topic":"n","key":"` + strings.Repeat("k", 129) + `"}`} {
		if status, answer := post(t, s, "", body); status != 400 || !strings.Contains(answer, "invalid_argument") {
			t.Errorf("%.40s: %d %s", body, status, answer)
		}
	}
}
