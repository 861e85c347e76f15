package arpc

import (
	"math/bits"
	"sync"
)

// Bodies that are lent: a shorter one comes with its Context, a longer one is rare.
const (
	shortestLoan = 256
	longestLoan  = 64 << 10
)

// loan is memory for the body of one message of a typed handler, which has no need
// of it when it was decoded. Such memory is most of what a server allocates, and
// it is used again once nobody can ask for the body any more: the handler has
// returned, and a request has its answer.
type loan struct{ memory []byte }

// loans are those that nobody has, by size: 256 bytes, 512 and so on.
var loans [9]sync.Pool

// loanSize is the least size that n bytes fit in.
func loanSize(n int) int {
	return bits.Len(uint(max(n, shortestLoan)-1)) - bits.Len(uint(shortestLoan-1))
}

func takeLoan(n int) *loan {
	size := loanSize(n)
	if l, ok := loans[size].Get().(*loan); ok {
		return l
	}
	return &loan{make([]byte, shortestLoan<<size)}
}

func (l *loan) giveBack() {
	if l != &own {
		loans[loanSize(len(l.memory))].Put(l)
	}
}

// own is the loan of a body that is nobody else's later: who is late is told so
// whatever the length.
var own loan

// lend begins to count who may read the body of a message to a typed handler.
func (ctx *Context) lend() {
	if ctx.loan == nil {
		ctx.loan = &own
	}
	ctx.holds.Store(1)
	if ctx.IsRequest() {
		ctx.holds.Store(2)
	}
}

// hold keeps the body for who is about to read it. It is false when it is too late.
func (ctx *Context) hold() bool {
	if ctx.loan == nil {
		return true
	}
	for {
		n := ctx.holds.Load()
		if n == 0 {
			return false
		}
		if ctx.holds.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// letGo undoes one hold: that of a reader, of the handler, or of the answer.
func (ctx *Context) letGo() {
	if ctx.loan != nil && ctx.holds.Add(-1) == 0 {
		ctx.loan.giveBack()
	}
}
