from anelab.cli import main

if __name__ == "__main__":
    main()
