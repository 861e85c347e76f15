// Package protobuf is the codec for generated messages, over
// google.golang.org/protobuf. Bodies are the binary form; strings and bytes are
// sent as themselves, as with every codec, and nothing else is.
//
//	h.SetCodec(protobuf.Codec)                               // for a whole Handler, at both ends
//	h.Handle("/order", f, arpc.WithCodec(protobuf.Codec))    // for one route
//
// Handlers with types take and give pointers to messages:
//
//	arpc.Route(h, "/order", func(ctx *arpc.Context, o *pb.Order) (*pb.Receipt, error) { … })
package protobuf

import (
	"fmt"
	"reflect"

	"google.golang.org/protobuf/proto"

	"github.com/seed-fbfaa03e/arpc/codec"
)

// maxDepth is how deep messages may be in each other.
const maxDepth = 64

// Codec is protobuf. Values are proto.Message, and what is decoded into is one, or
// a pointer to a variable for one. Unknown fields are kept, and messages may be
// 64 levels deep.
var Codec codec.Codec = protocolBuffers{}

type protocolBuffers struct{}

func (protocolBuffers) Name() string { return "protobuf" }

func (protocolBuffers) Append(dst []byte, v any) ([]byte, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return dst, fmt.Errorf("%T is no proto.Message", v)
	}
	body, err := proto.MarshalOptions{}.MarshalAppend(dst, m)
	if err != nil {
		return dst, err
	}
	return body, nil
}

func (protocolBuffers) Unmarshal(data []byte, v any) error {
	m, err := messageOf(v)
	if err != nil {
		return err
	}
	return proto.UnmarshalOptions{RecursionLimit: maxDepth}.Unmarshal(data, m)
}

// messageOf is the message to decode into. A pointer to a nil *M gets a new M.
func messageOf(v any) (proto.Message, error) {
	if m, ok := v.(proto.Message); ok {
		return m, nil
	}
	variable := reflect.ValueOf(v)
	if variable.Kind() != reflect.Pointer || variable.IsNil() || variable.Elem().Kind() != reflect.Pointer {
		return nil, fmt.Errorf("%T is no proto.Message, nor a pointer to one", v)
	}
	fresh := reflect.New(variable.Type().Elem().Elem())
	m, ok := fresh.Interface().(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no proto.Message, nor a pointer to one", v)
	}
	variable.Elem().Set(fresh)
	return m, nil
}
