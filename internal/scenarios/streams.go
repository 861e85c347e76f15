package scenarios

import (
	"encoding/json"
	"strings"

	"github.com/seed-fbfaa03e/arpc"
)

// mountStreams registers the routes of streams.
func mountStreams(h *arpc.Handler) {
	h.HandleStream("/upper", upper)
	h.HandleStream("/break", breakOff)
	h.HandleStream("/hang-up", hangUp)
	h.HandleStream("/count", count)
	h.Handle("/open-stream", openStream)
}

// upper sends texts back in capitals, and ends when the peer does.
func upper(s *arpc.Stream) {
	for message, err := range s.Messages() {
		if err != nil || s.Send(strings.ToUpper(string(message.Data))) != nil {
			return
		}
	}
}

// breakOff sends the first message back, and fails.
func breakOff(s *arpc.Stream) {
	var first arpc.Raw
	if err := s.Recv(&first); err == nil {
		_ = s.Send(first)
	}
	_ = s.Fail(arpc.Errorf(arpc.CodeAborted, "broken"))
}

// hangUp sends the first message back, and wants no more of the stream.
func hangUp(s *arpc.Stream) {
	var first arpc.Raw
	if err := s.Recv(&first); err == nil {
		_ = s.Send(first)
	}
	s.Close()
}

// count sends 0, 1, 2 and so on until the stream is over, and tells the client
// why it was.
func count(s *arpc.Stream) {
	var err error
	for i := 0; err == nil; i++ {
		err = s.Send(i)
	}
	_ = s.Client().Notify("/stream-over", string(arpc.CodeOf(err)), patience)
}

// openStream opens a stream to a method of whoever called, sends it bodies, and
// answers with the texts that come back, or with what the stream ended with.
func openStream(ctx *arpc.Context) {
	var wanted struct {
		Method string
		Send   []Value
	}
	if err := ctx.Bind(&wanted); err != nil {
		_ = ctx.Error(err)
		return
	}
	stream := ctx.Client.NewStream(wanted.Method)
	defer stream.Close()
	if err := SendAll(stream, wanted.Send); err != nil {
		_ = ctx.Error(err)
		return
	}
	texts := []string{}
	for message, err := range stream.Messages() {
		if err != nil {
			_ = ctx.Error(err)
			return
		}
		texts = append(texts, string(message.Data))
	}
	answer, err := json.Marshal(texts)
	if err != nil {
		_ = ctx.Error(err)
		return
	}
	_ = ctx.Write(json.RawMessage(answer))
}

// SendAll sends bodies, then the end.
func SendAll(stream *arpc.Stream, all []Value) error {
	for _, v := range all {
		body, err := v.Body(0)
		if err != nil {
			return err
		}
		if err := stream.Send(body); err != nil {
			return err
		}
	}
	return stream.CloseSend()
}
