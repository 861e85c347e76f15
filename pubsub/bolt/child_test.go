package bolt
const childRole="X"
func runChild(string){}
