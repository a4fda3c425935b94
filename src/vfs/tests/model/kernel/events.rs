//! What happens to products without a call of the kernel: fetches end, time passes, entries leave.

use super::*;

impl Kernel {
    pub(super) async fn cancel(&mut self, product: usize) {
        let flying = self.reference.products[product].flying;
        assert_eq!(self.vfs().engine().cancel(&key(product)), flying);
        if !flying {
            return;
        }
        let engine = self.vfs().engine().clone();
        until("the cancelled fetch ends", || engine.under_way(&key(product)).is_none()).await;
        self.reference.end(product, Err(libc::ECANCELED));
        self.end_waits(product, |_| Err(libc::ECANCELED)).await;
    }

    /// All fetches end; those who wait hear how.
    pub(super) async fn settle(&mut self, endings: &[Ending; PRODUCTS]) {
        let house = &self.mount.house;
        let flying: Vec<usize> =
            (0..PRODUCTS).filter(|number| self.reference.products[*number].flying).collect();
        for product in &flying {
            let (download, conversion) = match endings[*product] {
                Ending::Published(side) => (None, Conversion::Side(20 + u32::from(side % 8))),
                Ending::Unreachable => (Some(unreachable()), Conversion::Entry),
                Ending::LinkLost => {
                    (Some(ClmsError::LinkLost { reason: "404".to_owned() }), Conversion::Entry)
                }
                Ending::NoGeodata => {
                    (None, Conversion::Fails(IngestError::NoGeodata { found: "x".to_owned() }))
                }
                Ending::Hangs => (None, Conversion::Fails(IngestError::Timeout { seconds: 1 })),
                Ending::TooLarge => {
                    let what = "unpacked bytes".to_owned();
                    (None, Conversion::Fails(IngestError::TooLarge { what, limit: 1 }))
                }
            };
            for name in NAMES[*product] {
                house.converter.verdicts.lock().unwrap().insert(name.to_owned(), conversion.clone());
            }
            let file = self.target(*product).file;
            let mut world = house.service.world();
            match download {
                Some(error) => world.verdicts.insert(file, error),
                None => world.verdicts.remove(&file),
            };
        }
        house.service.download_gate.open();
        let engine = self.vfs().engine().clone();
        until("all fetches end", || (0..PRODUCTS).all(|product| engine.under_way(&key(product)).is_none()))
            .await;
        self.mount.house.service.download_gate.shut();
        for product in flying {
            let outcome = match endings[product] {
                Ending::Published(_) => Ok(self.published(product)),
                Ending::Unreachable => Err(libc::ENETDOWN),
                Ending::LinkLost | Ending::NoGeodata | Ending::Hangs => Err(libc::EIO),
                Ending::TooLarge => Err(libc::ENOSPC),
            };
            self.reference.end(product, outcome);
            self.end_waits(product, |_| outcome.map(|_| ())).await;
        }
    }

    /// Takes down what lies on the disk now.
    pub(super) fn published(&mut self, product: usize) -> usize {
        let entry = self.mount.house.dir.path().join("rasters").join(key(product).as_str());
        let found =
            NAMES[product].iter().map(|name| entry.join(name).join("c/0/0")).find(|path| path.exists());
        let bytes = std::fs::read(found.expect("a published entry has its raster")).unwrap();
        self.publications.push(Arc::new(bytes));
        self.publications.len() - 1
    }

    /// Everybody who waits for the product hears of `outcome`.
    pub(super) async fn end_waits(&mut self, product: usize, outcome: impl Fn(Place) -> Result<(), i32>) {
        let (ended, others) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|waiting| waiting.place.product() == Some(product));
        self.waiting = others;
        for Waiting { place, task } in ended {
            let result = task.await.unwrap();
            let expected = outcome(place).and_then(|()| self.reference.kind(place).map(|_| ()));
            match (result, expected) {
                (Err(VfsError::TimedOut), _) if self.impatient => {}
                (Ok(file), Ok(())) => self.opened(place, file),
                (Err(error), Err(errno)) => assert_eq!(error.errno(), errno, "wait for {place:?}: {error}"),
                (result, expected) => panic!("wait for {place:?}: {result:?}, not {expected:?}"),
            }
        }
    }

    /// Longer than an impatient mount waits; nothing is delivered.
    pub(super) async fn time_passes(&mut self) {
        tokio::time::sleep(Duration::from_secs(40)).await;
        if self.impatient {
            for Waiting { place, task } in std::mem::take(&mut self.waiting) {
                let errno = task.await.unwrap().unwrap_err().errno();
                assert_eq!(errno, libc::ETIMEDOUT, "{place:?}");
            }
        }
        assert!(self.waiting.iter().all(|waiting| !waiting.task.is_finished()), "who waits goes on waiting");
    }

    /// How many hold what is in the cache now.
    pub(super) fn readers(&self, product: usize) -> usize {
        let state = &self.reference.products[product];
        let Some(here) = state.here else { return 0 };
        let open = self.handles.iter().filter(|handle| handle.publication == Some(here)).count();
        open + usize::from(state.flying && state.renewing)
    }

    pub(super) fn evict(&mut self, product: usize) {
        let evicted = self.vfs().engine().inventory().evict(&key(product));
        let state = &self.reference.products[product];
        let may = state.here.is_some() && self.readers(product) == 0 && !state.pinned;
        assert_eq!(evicted.is_ok(), may, "{evicted:?}");
        if may {
            self.reference.products[product].here = None;
        }
    }

    /// So much room is asked for that all must go that may go.
    pub(super) fn squeeze(&mut self) {
        let inventory = self.vfs().engine().inventory();
        let usage = inventory.usage();
        let held = |product: &usize| self.readers(*product) > 0 || self.reference.products[*product].pinned;
        let (stay, go): (Vec<usize>, Vec<usize>) =
            (0..PRODUCTS).filter(|product| self.reference.products[*product].here.is_some()).partition(held);
        let staying: u64 = stay.iter().map(|product| inventory.size(&key(*product)).unwrap()).sum();
        let room = usage.limit - usage.books - usage.reserved - staying;
        assert!(inventory.reserve(room + 1).is_err(), "what is open or pinned does not go");
        drop(inventory.reserve(room).expect("all the others make room"));
        for product in go {
            self.reference.products[product].here = None;
        }
    }

    pub(super) fn damage(&mut self, product: usize) {
        let inventory = self.vfs().engine().inventory();
        let Some(lease) = inventory.peek(&key(product)) else { return };
        inventory.quarantine(&lease);
        drop(lease);
        self.vfs().close_view(&key(product));
        self.reference.products[product].here = None;
        // whoever has it open keeps it apart from what comes next
        self.reference.products[product].edition += 1;
    }
}
