package main

import "github.com/seed-fbfaa03e/arpc"

var errStranger = arpc.Errorf(arpc.CodeFailedPrecondition, "enter a room first")

type visitorKey struct{}

// admit remembers who a client is, for as long as its session goes on. Its later
// requests find it: the chat's routes are ordered.
func admit(c *arpc.Client, who person) { c.Set(visitorKey{}, who) }

// visitor is who a client is, or that it has not entered a room yet.
func visitor(c *arpc.Client) (person, error) {
	who, ok := c.Get(visitorKey{})
	if !ok {
		return person{}, errStranger
	}
	return who.(person), nil
}
