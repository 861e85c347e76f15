package run

import (
	"github.com/seed-fbfaa03e/arpc/bench/contender"
	"github.com/seed-fbfaa03e/arpc/bench/fanout"
)

// A party is a contender of any benchmark, as far as its processes go.
type party struct {
	name, about  string
	server, load []string // arguments of node; nil where this program is it
}

// party finds who takes part in a load by name.
func (l load) party(name string) (party, error) {
	if l.fansOut() {
		c, err := fanout.Named(name)
		return party{name: c.Name, about: c.About, server: c.Server}, err
	}
	c, err := contender.Named(name)
	return party{c.Name, c.About, c.Server, c.Load}, err
}
