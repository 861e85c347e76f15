package contender

import (
	"context"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-fbfaa03e/arpc/bench/drive"
)

var grpcGo = Contender{
	Name: "grpc", About: "gRPC-Go, protobuf, default settings",
	Serve: serveGRPC, Dial: dialGRPC,
}

// echoService is what a generator would make of
//
//	service Echo { rpc Say(google.protobuf.StringValue) returns (google.protobuf.StringValue); }
var echoService = grpc.ServiceDesc{
	ServiceName: "bench.Echo",
	HandlerType: (*any)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Say", Handler: say}},
}

func say(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	request := new(wrapperspb.StringValue)
	if err := decode(request); err != nil {
		return nil, err
	}
	return wrapperspb.String(request.GetValue()), nil
}

func serveGRPC(ln net.Listener) error {
	s := grpc.NewServer()
	s.RegisterService(&echoService, struct{}{})
	return s.Serve(ln)
}

type grpcCaller struct {
	*grpc.ClientConn
	request *wrapperspb.StringValue
}

func dialGRPC(t Target) (drive.Caller, error) {
	conn, err := grpc.NewClient("passthrough:///"+t.Address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return t.Dialer.DialContext(ctx, "tcp", address)
		}))
	if err != nil {
		return nil, err
	}
	return &grpcCaller{conn, wrapperspb.String(t.Text)}, nil
}

func (c *grpcCaller) Call() error {
	reply := new(wrapperspb.StringValue)
	if err := c.Invoke(context.Background(), "/bench.Echo/Say", c.request, reply); err != nil {
		return err
	}
	return sameLength(len(reply.GetValue()), len(c.request.GetValue()))
}
