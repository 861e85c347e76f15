package arpc_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/server"
)

// A layer above the engine, here one that knows in which region a server is, has a
// capability, what is said of it in hello, and a method. It is how topics are made.
func ExampleHandler_Extend() {
	const region = "region"
	s := server.New()
	s.Handler.Extend(arpc.Extension{
		Capability: region,
		Welcome: func(*arpc.Client, json.RawMessage) (answer any, then func()) {
			return "eu-1", nil
		},
		Routes: []arpc.ExtensionRoute{{Method: "arpc.regions", Handler: func(ctx *arpc.Context) {
			_ = ctx.Write([]string{"eu-1", "us-1"})
		}}},
	})
	address := exampleServe(s)
	defer exampleEnd(s)

	h := arpc.NewHandler()
	h.Extend(arpc.Extension{
		Capability: region,
		Welcomed: func(_ *arpc.Client, agreed bool, said json.RawMessage) {
			fmt.Println(agreed, string(said))
		},
	})
	c, err := arpc.Dial(context.Background(), address, arpc.WithHandler(h))
	if err != nil {
		log.Fatal(err)
	}
	defer exampleStop(c)
	var all []string
	if err := c.CallProtocol(context.Background(), "arpc.regions", nil, &all, nil); err != nil {
		log.Fatal(err)
	}
	fmt.Println(all)
	// Output:
	// true "eu-1"
	// [eu-1 us-1]
}
