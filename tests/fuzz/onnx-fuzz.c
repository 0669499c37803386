/* A graph from anywhere: refused, or a BERT whose weights have their sizes. */
#include "config.h"
#include "tests/fuzz/fuzz.h"

#include "model/onnx_bert.h"
#include "tests/fuzz/file.h"

#include <stdlib.h>

static volatile unsigned sum;	/* so that no read is left out */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bert_weights b = { 0 };
	struct onnx *o;

	if (onnx_open(&o, fuzz_file(data, size)))
		return 0;
	if (onnx_bert_find(&b, o) == 0) {
		for (size_t i = 0; i < b.n; i++) {
			const uint8_t *p = b.w[i].data;

			for (size_t k = 0; k < 4 * bert_weight_count(&b.w[i]); k++)
				sum += p[k];
		}
		if (b.shape.hidden % b.shape.heads || b.n != 5 + 16 * b.shape.layers)
			abort();
	}
	bert_weights_release(&b);
	onnx_close(o);
	return 0;
}
