//go:build race

package sessions_test

// mostParked is how many resident bytes a parked session may cost, with what the
// race detector keeps of it.
const mostParked = 64 << 10
