package pubsub_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc/pubsub"
)

// TestOneMemberForEachSubscription: whoever subscribes with one secret after the
// other is one member, and not as many as fit into the grace.
func TestOneMemberForEachSubscription(t *testing.T) {
	s, tcp, _ := start(t, pubsub.Open(), pubsub.Grace(time.Hour))
	c := dial(t, tcp)
	for i := range 10 {
		request := map[string]any{"topic": "t", "presence": true, "member": fmt.Sprint("secret ", i/2)}
		var answer json.RawMessage
		if err := c.CallProtocol(t.Context(), "arpc.subscribe", request, &answer, nil); err != nil {
			t.Fatal(err)
		}
		if members, err := s.Hub.Members(t.Context(), "t"); len(members) != 1 || err != nil {
			t.Errorf("%d subscribed: %d members, %v", i+1, len(members), err)
		}
	}
	var answer json.RawMessage
	if err := c.CallProtocol(t.Context(), "arpc.subscribe", map[string]any{"topic": "t"}, &answer, nil); err != nil {
		t.Fatal(err)
	}
	if members, err := s.Hub.Members(t.Context(), "t"); len(members) != 0 || err != nil {
		t.Errorf("without presence: %d members, %v", len(members), err)
	}
}
