/** What crosses between the threads. */
