package main

import "testing"

func TestCallsBothWaysOverQUIC(t *testing.T) {
	reply, err := run("Ada")
	if want := "hello, Ada, over QUIC"; err != nil || reply != want {
		t.Errorf("got %q, %v, want %q", reply, err, want)
	}
}
