#include "config.h"
#include "tests/fuzz/fuzz.h"

#include "model/safetensors.h"
#include "tests/fuzz/file.h"

#include <stdlib.h>

static volatile unsigned sum;	/* so that no read is left out */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct safetensors *s;

	if (safetensors_open(&s, fuzz_file(data, size)))
		return 0;
	for (size_t i = 0; i < safetensors_n(s); i++) {
		const struct tensor *t = safetensors_at(s, i);

		if (safetensors_tensor(s, t->name) != t)
			abort();
		for (size_t c = 0; c < t->bytes; c++)
			sum += ((const unsigned char *)t->data)[c];
	}
	safetensors_close(s);
	return 0;
}
