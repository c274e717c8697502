// executorWorker
#include "worker.h"

int main() { return stand_in_run_worker(); }
