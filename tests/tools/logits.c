#include "config.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/par.h"
#include "model/decoder.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * Gives a comparison written in another language our decoder's logits.
 *
 *	logits MODEL THREADS CONTEXT
 *
 * First the number of the vocabulary goes to stdout.  A request on stdin is
 * n, keep, mode and n token ids: the cache is cut to its first keep tokens
 * (-1: left whole), then the ids are evaluated.  The answer by mode: 0 the id
 * of the last token's greatest logit, 1 its logits, 2 every token's (n, vocab).
 * All numbers are 32 bits in the machine's order.
 */

static int fail(void)
{
	fprintf(stderr, "logits: %s\n", err_msg());
	return 1;
}

static bool put(const void *p, size_t size, size_t n)
{
	return fwrite(p, size, n, stdout) == n && !fflush(stdout);
}

static int serve(struct decoder_run *run, size_t vocab)
{
	int32_t head[3], best;

	while (fread(head, sizeof(head), 1, stdin) == 1) {
		size_t n = (size_t)head[0], rows = head[2] == 2 ? n : 1;
		int32_t *ids = mem_calloc(n, sizeof(*ids));
		float *logits = mem_calloc(rows * vocab, sizeof(*logits));
		int rc;

		if (!ids || !logits || fread(ids, sizeof(*ids), n, stdin) != n)
			return fail();
		if (head[1] >= 0)
			decoder_rewind(run, (size_t)head[1]);
		rc = head[2] == 2 ? decoder_eval_all(logits, run, ids, n)
				  : decoder_eval(logits, run, ids, n, NULL);
		if (rc)
			return fail();
		best = 0;
		for (size_t i = 1; i < vocab; i++)
			if (logits[i] > logits[best])
				best = (int32_t)i;
		if (!(head[2] ? put(logits, sizeof(*logits), rows * vocab)
			      : put(&best, sizeof(best), 1)))
			return 1;
		mem_free(ids);
		mem_free(logits);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct decoder *d;
	struct decoder_run *run;
	struct par *par;
	int32_t vocab;
	int rc;

	if (argc != 4) {
		fprintf(stderr, "usage: logits MODEL THREADS CONTEXT\n");
		return 2;
	}
	if (par_new(&par, atoi(argv[2])) || decoder_open(&d, argv[1]) ||
	    decoder_run_new(&run, d, (size_t)atol(argv[3]), par))
		return fail();
	vocab = (int32_t)decoder_vocab(d);
	rc = put(&vocab, sizeof(vocab), 1) ? serve(run, decoder_vocab(d)) : 1;
	decoder_run_free(run);
	decoder_close(d);
	par_free(par);
	return rc;
}
