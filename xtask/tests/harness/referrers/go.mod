// A registry with the referrers API for tests.
module goverse.test/referrers

go 1.27

require github.com/google/go-containerregistry v0.22.1
