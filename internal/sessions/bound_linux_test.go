//go:build !race

package sessions_test

// mostParked is how many resident bytes a parked session may cost.
const mostParked = 4 << 10
